import { defineEvent } from '../../common/events/index.js';

/** Videos whose step of popularity is another one now: `popularityStep` of their views. */
export const PopularityChanged = defineEvent<{ videoIds: string[] }>('PopularityChanged');

/** What a ranking may go by without a change at every view: about a quarter more views are a step. */
export const popularityStep = (views: number): number => Math.round(10 * Math.log10(views + 1));
