export type { AppUser } from './app-user.entity.js';
export { cleanEmail, emailKey } from './email.js';
export { cleanPerson, type Person } from './person.js';
export { cleanLines, cleanName } from './plain-text.js';
export { EmailTaken } from './users.errors.js';
export { User } from './users.graphql.js';
export { UsersModule } from './users.module.js';
export { canSeeAccount } from './users.policy.js';
export { UsersService } from './users.service.js';
