import type { MediaEngine } from './media-engine.js';
import type { Packets } from './packets.js';
import type { Probe } from './probe.js';
import { packetVerdict, type Verdict, verdict } from './verdict.js';

/** Seconds; times in Matroska are rounded to milliseconds. */
const LENGTH_TOLERANCE = 0.1;

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
  return { probe: withFoundLength(probe, packets), packets, judged: packetVerdict(probe, packets) };
}

/** A track of Matroska need not say how long it is, and the file's own length may be that of the sound. */
function withFoundLength(probe: Probe, { read, ended, end }: Packets): Probe {
  const { video, container } = probe;
  if (container.kind !== 'matroska' || read !== 'all' || !ended || end === null || !video?.duration) return probe;
  const duration = end - video.startTime;
  const isOther = duration > 0 && Math.abs(duration - video.duration) > LENGTH_TOLERANCE;
  return isOther ? { ...probe, video: { ...video, duration } } : probe;
}
