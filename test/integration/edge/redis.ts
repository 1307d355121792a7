import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** A Redis that remembers nothing, on a port that stays the same when it goes and comes back. */
export async function startRedis(port: number): Promise<() => Promise<void>> {
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
  const server = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const chunk of server.stdout) if (String(chunk).includes('Ready to accept connections')) break;
  server.stdout.resume();
  return async () => {
    server.kill();
    if (server.exitCode === null) await once(server, 'exit');
  };
}
