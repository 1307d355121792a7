export { isPrivateAddress } from './private-networks.js';
