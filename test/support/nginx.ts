import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { temporaryFolder } from './servers.js';

const READY_MS = 10_000;

export interface Nginx {
  /** Changes its configuration, and waits until it answers by it. */
  configure(server: string): Promise<void>;
  stop(): Promise<void>;
}

/** A real nginx on a port of this machine. `server` is what stands in its server block, `listen` aside. */
export async function startNginx(port: number, server: string): Promise<Nginx> {
  const folder = await temporaryFolder();
  await mkdir(join(folder, 'tmp'));
  let child: ChildProcess;
  let output = '';
  const end = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await ended;
  };
  const start = async (text: string) => {
    await writeFile(join(folder, 'nginx.conf'), configuration(folder, port, text));
    const path = `${process.env.PATH}:/usr/sbin:/opt/homebrew/bin`;
    child = spawn('nginx', ['-p', folder, '-e', 'stderr', '-c', join(folder, 'nginx.conf')], {
      env: { PATH: path },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    child.stderr?.on('data', (bytes) => (output += bytes));
    for (const deadline = Date.now() + READY_MS; !(await accepts(port)); await pause(20)) {
      if (child.exitCode !== null || Date.now() > deadline) throw new Error(`nginx did not start:\n${output}`);
    }
  };
  await start(server);
  return {
    configure: async (text) => {
      await end();
      await start(text);
    },
    stop: async () => {
      await end();
      await rm(folder, { recursive: true });
    },
  };
}

function configuration(folder: string, port: number, server: string): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${join(folder, 'tmp', name)};`,
  );
  // Started by root, it would have its workers be somebody who may not enter the folder.
  return `daemon off; pid ${folder}/pid; error_log stderr; ${process.getuid?.() === 0 ? 'user root;' : ''}
    events {}
    http { access_log off; ${temporary.join(' ')} server { listen 127.0.0.1:${port}; ${server} } }`;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.end());
    socket.on('error', () => resolve(false));
    socket.on('close', (failed) => resolve(!failed));
  });
}
