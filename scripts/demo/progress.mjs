import { Presets, SingleBar } from 'cli-progress';

/** A bar on a terminal; elsewhere a line each time another quarter is done. Both on standard error. */
export function progress(label) {
  if (!process.stderr.isTTY) {
    let quarter = -1;
    const show = (fraction) => {
      const now = Math.floor(fraction * 4);
      if (now <= quarter) return;
      quarter = now;
      process.stderr.write(`${label}: ${now * 25} %\n`);
    };
    return { show, end: () => undefined };
  }
  const bar = new SingleBar(
    { format: `${label.padEnd(10)} {bar} {percentage} % {note}`, hideCursor: true, stream: process.stderr },
    Presets.shades_classic,
  );
  bar.start(1000, 0, { note: '' });
  return {
    show: (fraction, note = '') => bar.update(Math.round(fraction * 1000), { note }),
    end: () => bar.stop(),
  };
}
