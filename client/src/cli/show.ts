import { durationText, percentText, sizeText } from '../units.js';
import type { VideoFile } from './files.js';
import { jsonLine, plain } from './problem.js';

/** How one file stands, as it is shown. */
export interface Row {
  readonly file: VideoFile;
  state: string;
  committedBytes: number;
  bytesPerSecond: number | null;
  secondsLeft: number | null;
}

/** Where what happens is told. */
export interface Show {
  /** A file begins; its row is read whenever something is shown. */
  begin(row: Row): void;
  changed(row: Row): void;
  /** It is over: a sentence for people, its facts for programs. */
  end(row: Row, sentence: string, facts: Record<string, unknown>): void;
  /** Of none of the files. */
  say(sentence: string, facts: Record<string, unknown>): void;
  close(): void;
}

const WORDS: Record<string, string> = {
  preparing: 'looking at the file',
  waiting: 'waiting for the network',
  completing: 'being checked',
  paused: 'paused',
};
const progressOf = ({ file, state, committedBytes, bytesPerSecond, secondsLeft }: Row): string => {
  const rate = bytesPerSecond ? `${sizeText(bytesPerSecond)}/s` : '';
  const left = secondsLeft !== null && secondsLeft !== undefined ? `${durationText(secondsLeft)} left` : '';
  const doing = WORDS[state] ?? [rate, left].filter(Boolean).join(', ');
  return `${percentText(committedBytes, file.sizeBytes).padStart(5)} of ${sizeText(file.sizeBytes)}${doing && `, ${doing}`}`;
};

const BAR = 24;
const DRAW_MS = 200;

/** On a terminal: a bar for each file that is sent, and above them what is over. */
export function bars(terminal: NodeJS.WriteStream): Show {
  const rows = new Set<Row>();
  let drawn = 0;
  const erase = () => {
    terminal.write(drawn > 0 ? `\x1b[${drawn}A\r\x1b[J` : '');
    drawn = 0;
  };
  const draw = () => {
    erase();
    for (const row of rows) {
      const filled = Math.floor((row.committedBytes / row.file.sizeBytes) * BAR);
      const bar = `${'█'.repeat(filled)}${'░'.repeat(BAR - filled)}`;
      const line = ` ${bar} ${progressOf(row)}  ${plain(row.file.name)}`;
      terminal.write(`${line.slice(0, (terminal.columns || 80) - 1)}\n`);
    }
    drawn = rows.size;
  };
  const timer = setInterval(draw, DRAW_MS);
  const above = (sentence: string) => {
    erase();
    terminal.write(`${plain(sentence)}\n`);
    draw();
  };
  return {
    begin: (row) => rows.add(row),
    changed: () => undefined,
    end: (row, sentence) => {
      rows.delete(row);
      above(`${row.file.name}: ${sentence}`);
    },
    say: above,
    close: () => {
      clearInterval(timer);
      draw();
    },
  };
}

const LINE_EVERY_MS = 10_000;

/** Elsewhere: a line when a state changes, and every ten seconds. */
export function lines(out: NodeJS.WritableStream): Show {
  const told = new Map<Row, { state: string; at: number }>();
  const tell = (row: Row, text: string) => out.write(`${plain(`${row.file.name}: ${text}`)}\n`);
  return {
    begin: (row) => tell(row, `${sizeText(row.file.sizeBytes)}, begun`),
    changed: (row) => {
      const last = told.get(row);
      if (last && last.state === row.state && performance.now() - last.at < LINE_EVERY_MS) return;
      told.set(row, { state: row.state, at: performance.now() });
      tell(row, progressOf(row).trim());
    },
    end: (row, sentence) => tell(row, sentence),
    say: (sentence) => out.write(`${plain(sentence)}\n`),
    close: () => undefined,
  };
}

const EVENT_EVERY_MS = 1_000;

/** For programs: one JSON object a line. */
export function jsonLines(out: NodeJS.WritableStream): Show {
  const told = new Map<Row, { state: string; at: number }>();
  const write = (event: string, facts: object) => out.write(jsonLine({ event, ...facts }));
  return {
    begin: ({ file }) => write('begun', { file: file.path, sizeBytes: file.sizeBytes }),
    changed: (row) => {
      const { file, ...facts } = row;
      const last = told.get(row);
      if (last && last.state === row.state && performance.now() - last.at < EVENT_EVERY_MS) return;
      told.set(row, { state: row.state, at: performance.now() });
      write('progress', { file: file.path, sizeBytes: file.sizeBytes, ...facts });
    },
    end: ({ file }, _, { event, ...facts }) => write(String(event), { file: file.path, ...facts }),
    say: (_, { event, ...facts }) => write(String(event), facts),
    close: () => undefined,
  };
}
