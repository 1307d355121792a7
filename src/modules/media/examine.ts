import type { MediaEngine } from './media-engine.js';
import type { Packets } from './packets.js';
import type { Probe } from './probe.js';
import { packetVerdict, type Verdict, verdict } from './verdict.js';

/** Everything that is known of a whole file before it is decoded: its header first, and what is behind that only where it does. */
export async function examine(
  engine: MediaEngine,
  path: string,
  signal?: AbortSignal,
): Promise<{ probe: Probe; packets: Packets | null; judged: Verdict }> {
  const probe = await engine.probe(path, signal);
  const judged = verdict(probe);
  if (!judged.accepted) return { probe, packets: null, judged };
  const packets = await engine.packets(path, probe, signal);
  return { probe, packets, judged: packetVerdict(probe, packets) };
}
