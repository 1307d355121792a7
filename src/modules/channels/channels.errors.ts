import { InvalidInput } from '../../common/errors/index.js';

/** `HANDLE_TAKEN`: a channel has this handle. Case makes no difference. (`HANDLE_RESERVED`: see `checkHandle`.) */
export class HandleTaken extends InvalidInput {
  constructor() {
    super('Another channel has this handle. Choose another one.', ['handle'], 'HANDLE_TAKEN');
  }
}
