// graphql-ws as its documentation has it: a schema of one subscription, executed and serialised for each subscriber. What is
// published comes through Redis, as it would in any server with replicas.
import { createServer } from 'node:http';
import { GraphQLID, GraphQLNonNull, GraphQLObjectType, GraphQLSchema, GraphQLString } from 'graphql';
import { useServer as serve } from 'graphql-ws/use/ws';
import { Redis } from 'ioredis';
import { WebSocketServer } from 'ws';

const text = { type: new GraphQLNonNull(GraphQLString) };
const Video = new GraphQLObjectType({
  name: 'Video',
  fields: { id: { type: new GraphQLNonNull(GraphQLID) }, title: text, description: text },
});
const ChannelNotification = new GraphQLObjectType({
  name: 'ChannelNotification',
  fields: { cursor: text, id: { type: GraphQLID }, video: { type: Video } },
});

type Wake = (event: object) => void;
const listeners = new Set<Wake>();

/** One reader: what comes while it is busy waits in its queue. */
function events(): AsyncGenerator<object> {
  const queue: object[] = [{ cursor: '', id: null, video: null }];
  let wake: (() => void) | null = null;
  let isOver = false;
  const listen: Wake = (event) => {
    queue.push(event);
    wake?.();
  };
  listeners.add(listen);
  return {
    async next() {
      while (queue.length === 0 && !isOver) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return isOver ? { value: undefined, done: true } : { value: queue.shift() as object, done: false };
    },
    async return() {
      isOver = true;
      listeners.delete(listen);
      wake?.();
      return { value: undefined, done: true };
    },
    async throw(error) {
      throw error;
    },
    [Symbol.asyncIterator]() {
      return this;
    },
    async [Symbol.asyncDispose]() {
      listeners.delete(listen);
    },
  };
}

const schema = new GraphQLSchema({
  query: new GraphQLObjectType({ name: 'Query', fields: { ok: text } }),
  subscription: new GraphQLObjectType({
    name: 'Subscription',
    fields: {
      channelNotifications: {
        type: new GraphQLNonNull(ChannelNotification),
        args: { channelId: { type: new GraphQLNonNull(GraphQLID) }, after: { type: GraphQLString } },
        subscribe: () => events(),
        resolve: (event) => event,
      },
    },
  }),
});

const redis = new Redis(process.env.REDIS_URL as string);
await redis.subscribe('bare-live');
redis.on('message', (_channel, message) => {
  const event = JSON.parse(message) as object;
  for (const listen of listeners) listen(event);
});
const server = createServer((_request, response) => response.end('ok'));
serve({ schema }, new WebSocketServer({ server, path: '/graphql' }));
server.listen({ port: Number(process.env.PORT), host: '127.0.0.1', backlog: 16_384 });
