/**
 * What `work` makes of each item, in the items' order, with at most `width` under way at once. After a failure nothing
 * further is begun, and it is thrown once what is under way has ended.
 */
export async function* inOrder<Item, Result>(
  items: AsyncIterable<Item> | Iterable<Item>,
  width: number,
  work: (item: Item) => Promise<Result>,
): AsyncGenerator<Result> {
  const underWay: Promise<Result>[] = [];
  try {
    for await (const item of items) {
      const result = work(item);
      // Its failure is met when its turn comes.
      void Promise.allSettled([result]);
      underWay.push(result);
      if (underWay.length >= width) yield await (underWay.shift() as Promise<Result>);
    }
    while (underWay.length > 0) yield await (underWay.shift() as Promise<Result>);
  } finally {
    await Promise.allSettled(underWay);
  }
}
