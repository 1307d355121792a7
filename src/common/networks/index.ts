export { isPrivateAddress } from './private-networks.js';
export { isPublicAddress } from './public-networks.js';
