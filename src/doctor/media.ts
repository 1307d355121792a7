import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Config } from '../common/config/index.js';
import { FfmpegEngine, findMediaPrograms, NEEDED_PARTS } from '../modules/media/index.js';
import type { Area } from './check.js';

const OLDEST = [5, 1] as const;

export function mediaArea(config: Config): Area {
  let ffmpeg = '';
  const tell = async (...args: string[]) =>
    (await promisify(execFile)(ffmpeg, ['-hide_banner', ...args], { timeout: 15_000, maxBuffer: 2 ** 24 })).stdout;

  return {
    name: 'media',
    checks: [
      {
        code: 'FFMPEG_MISSING',
        right: 'ffmpeg and ffprobe are there',
        needed: true,
        todo: 'Install ffmpeg (apt-get install ffmpeg), or name another by FFMPEG_PATH.',
        look: async () => {
          ffmpeg = findMediaPrograms(config.ffmpegPath).ffmpeg;
          return null;
        },
      },
      {
        code: 'FFMPEG_TOO_OLD',
        right: `ffmpeg is ${OLDEST.join('.')} or newer`,
        needed: true,
        todo: `Install ffmpeg ${OLDEST.join('.')} or newer, or name it by FFMPEG_PATH.`,
        look: async () => {
          const [, version = ''] = /^ffmpeg version (\S+)/.exec(await tell('-version')) ?? [];
          // Builds of a branch's head have no number.
          const [, major, minor] = /^n?(\d+)\.(\d+)/.exec(version) ?? [];
          if (major === undefined) return null;
          const old = Number(major) < OLDEST[0] || (Number(major) === OLDEST[0] && Number(minor) < OLDEST[1]);
          return old ? `It is ${version}.` : null;
        },
      },
      {
        code: 'FFMPEG_LACKS',
        right: 'ffmpeg has the codecs, formats and filters that are needed',
        needed: true,
        todo: 'Install an ffmpeg that was built with them (Debian’s, Ubuntu’s and Homebrew’s are), or name it by FFMPEG_PATH.',
        look: async () => {
          const lacking: string[] = [];
          for (const [kind, names] of Object.entries(NEEDED_PARTS)) {
            // " V....D libx264   …", " ... scale  V->V  …", " D  matroska,webm  …"
            const listed = await tell(`-${kind}`);
            const has = new Set(
              [...listed.matchAll(/^ *\S+ +(\S+)/gm)].flatMap((match) => (match[1] ?? '').split(',')),
            );
            lacking.push(...names.filter((name) => !has.has(name)).map((name) => `${name} (${kind})`));
          }
          return lacking.length > 0 ? `${ffmpeg} lacks ${lacking.join(', ')}.` : null;
        },
      },
      {
        code: 'SANDBOX_WEAK',
        right: 'ffmpeg is confined by bubblewrap',
        warning: true,
        todo: 'On Linux install bubblewrap, and let it make namespaces (a container needs seccomp and AppArmor profiles that do); SANDBOX=strict then refuses to start without.',
        look: async () => {
          const engine = await FfmpegEngine.find(config);
          return engine.sandboxLevel === 'bubblewrap'
            ? null
            : `A stranger’s file is opened in a weaker one: ${engine.sandboxInWords}.`;
        },
      },
    ],
  };
}
