import { rm } from 'node:fs/promises';

export default async function tearDown(): Promise<void> {
  const servers = globalThis.testServers;
  if (!servers) return;
  await Promise.all(servers.running.map((server) => server.stop()));
  await rm(servers.folder, { recursive: true, force: true });
}
