import { InvalidInput } from '../../common/errors/index.js';

export class TooManySubscriptions extends InvalidInput {
  constructor(most: number) {
    super(`You follow ${most} channels; no more are possible.`, ['channelId'], 'TOO_MANY_SUBSCRIPTIONS');
  }
}
