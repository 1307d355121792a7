import { InvalidInput } from '../../common/errors/index.js';

/** `PUSH_ENDPOINT_REFUSED`: for a name that leads nowhere, or into a private network, the same: nobody is to learn which. */
export class PushEndpointRefused extends InvalidInput {
  constructor() {
    super(
      'This is no address of a push service: it is https, of a host that everybody can reach, at port 443.',
      ['endpoint'],
      'PUSH_ENDPOINT_REFUSED',
    );
  }
}
