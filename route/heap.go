package route

// heap is a 4-ary heap of nodes by distance that knows each node's place, so
// that a distance can be lowered. Four children fit a cache line and halve the
// depth.
type heap struct {
	items []item
	place []int32 // by node: index in items plus 1; 0 if it is not in the heap
}

type item struct {
	distance int64
	node     int32
}

func (h *heap) len() int { return len(h.items) }

func (h *heap) reset() {
	for _, it := range h.items {
		h.place[it.node] = 0
	}
	h.items = h.items[:0]
}

// push enters a node, or lowers its distance.
func (h *heap) push(node int32, distance int64) {
	i := int(h.place[node]) - 1
	if i < 0 {
		i = len(h.items)
		h.items = append(h.items, item{})
	}
	it := item{distance, node}
	for i > 0 {
		parent := (i - 1) / 4
		if h.items[parent].distance <= distance {
			break
		}
		h.set(i, h.items[parent])
		i = parent
	}
	h.set(i, it)
}

// pop takes the node with the least distance out.
func (h *heap) pop() int32 {
	top := h.items[0].node
	h.place[top] = 0
	n := len(h.items) - 1
	last := h.items[n]
	h.items = h.items[:n]
	if n == 0 {
		return top
	}
	i := 0
	for {
		child := 4*i + 1
		if child >= n {
			break
		}
		least := child
		for c := child + 1; c < min(child+4, n); c++ {
			if h.items[c].distance < h.items[least].distance {
				least = c
			}
		}
		if h.items[least].distance >= last.distance {
			break
		}
		h.set(i, h.items[least])
		i = least
	}
	h.set(i, last)
	return top
}

func (h *heap) set(i int, it item) {
	h.items[i] = it
	h.place[it.node] = int32(i + 1)
}
