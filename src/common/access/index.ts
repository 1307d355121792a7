export { Authenticated, CurrentActor, Public, Role } from './access.decorators.js';
export { AccessGuard } from './access.guard.js';
export { AccessModule } from './access.module.js';
export * from './actor.js';
export { LoginSessions } from './login-sessions.js';
