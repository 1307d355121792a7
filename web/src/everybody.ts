import { Api } from '../../client/src/api/index.js';

/** Asks as nobody in particular: what everybody is answered alike is there before it is known who looks. */
export const everybody = new Api();
