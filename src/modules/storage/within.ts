/**
 * What `result` gives, or a rejection with `late()` after so many milliseconds. Whatever happens to `result` later is
 * dropped: end its work yourself.
 */
export async function within<T>(result: Promise<T>, ms: number, late: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late()), ms);
  });
  try {
    return await Promise.race([result, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
