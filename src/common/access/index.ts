export { Authenticated, CurrentActor, Public, Role } from './access.decorators.js';
export * from './actor.js';
