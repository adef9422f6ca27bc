/** Shortest way between two nodes over undirected edges, by Dijkstra's algorithm. */
export function shortest(
  count: number,
  edges: [number, number][],
  weight: (a: number, b: number) => number,
  from: number,
  to: number,
): number[] | undefined {
  const next: number[][] = Array.from({ length: count }, () => []);
  for (const [a, b] of edges) {
    next[a]!.push(b);
    next[b]!.push(a);
  }
  const distance = new Float64Array(count).fill(Infinity);
  const before = new Int32Array(count).fill(-1);
  const open: [number, number][] = [[0, from]];
  distance[from] = 0;
  while (open.length) {
    const [d, node] = take(open);
    if (node === to) break;
    if (d > distance[node]!) continue;
    for (const other of next[node]!) {
      const further = d + weight(node, other);
      if (further >= distance[other]!) continue;
      distance[other] = further;
      before[other] = node;
      put(open, [further, other]);
    }
  }
  if (!Number.isFinite(distance[to]!)) return undefined;
  const way = [to];
  while (way[0] !== from) way.unshift(before[way[0]!]!);
  return way;
}

function put(heap: [number, number][], item: [number, number]): void {
  heap.push(item);
  let i = heap.length - 1;
  while (i > 0) {
    const up = (i - 1) >> 1;
    if (heap[up]![0] <= heap[i]![0]) break;
    [heap[up], heap[i]] = [heap[i]!, heap[up]!];
    i = up;
  }
}

function take(heap: [number, number][]): [number, number] {
  const first = heap[0]!;
  const last = heap.pop()!;
  if (heap.length === 0) return first;
  heap[0] = last;
  for (let i = 0; ; ) {
    let least = i;
    for (const child of [2 * i + 1, 2 * i + 2]) if (child < heap.length && heap[child]![0] < heap[least]![0]) least = child;
    if (least === i) return first;
    [heap[least], heap[i]] = [heap[i]!, heap[least]!];
    i = least;
  }
}
