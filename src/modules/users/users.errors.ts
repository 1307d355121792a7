import { InvalidInput } from '../../common/errors/index.js';

/** `EMAIL_TAKEN`: an account with this address exists. Another spelling in case or width is the same address. */
export class EmailTaken extends InvalidInput {
  constructor() {
    super('There is an account with this address already. Sign in instead.', ['email'], 'EMAIL_TAKEN');
  }
}
