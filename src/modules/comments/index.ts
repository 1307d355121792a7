export { CommentAdded } from './comments.events.js';
export { Comment } from './comments.graphql.js';
export { CommentsModule } from './comments.module.js';
export { CommentsService, commentsTopic } from './comments.service.js';
