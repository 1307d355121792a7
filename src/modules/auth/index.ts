export { AuthModule } from './auth.module.js';
export { SetupService } from './setup.service.js';
