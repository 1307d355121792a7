export { addressBlock } from './address-block.js';
export { noteBodyBytes } from './body-garbage.js';
export { clientAddress } from './client-address.js';
export { HttpModule } from './http.module.js';
export { HttpServer, httpAdapter } from './http-adapter.js';
export { allowsOrigin } from './origins.js';
export { Pages } from './pages.js';
export { limitOf, REQUESTS } from './request-limits.js';
