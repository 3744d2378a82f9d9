package policy

import (
	"hash/maphash"
	"math"
	"math/bits"
	"sync"
)

// A buckets has a bucket for each key, for a bounded number of keys. A bucket makes room for
// another key only when it equals one that nobody has used, so that nobody's debt is forgotten. If
// all are in use, further keys share a few more buckets.
type buckets struct {
	seeds  [2]maphash.Seed
	shards []shard // a power of two
}

// A meter counts in the bucket of a key. The clock, now, is that of whoever calls take.
type meter interface {
	// take adds n units to a level, if it has room for them.
	take(l *level, now int64, n uint64) Grant
	// freshAt returns when a level equals that of a bucket which nobody has used.
	freshAt(l level) int64
}

const (
	keysOfShard = 1024 // a shard is for so many keys, up to twice as many
	sharing     = 32   // one bucket to share for so many keys
)

func newBuckets(maxKeys int) *buckets {
	b := &buckets{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
	n := 1
	for n*2*keysOfShard <= maxKeys && n < 1<<16 {
		n *= 2
	}
	most := maxKeys / n
	if n > 1 { // the hash divides keys by chance
		most += int(6*math.Sqrt(float64(most))) + 1
	}
	if maxKeys < 0 {
		n, most = 64, math.MaxInt/8
	}
	b.shards = make([]shard, n)
	for i := range b.shards {
		b.shards[i].most = most
	}
	return b
}

// A keyHash stands for a key. The hash has a secret seed, and 127 bits of it count, so no client
// can find a key that shares its bucket with another one.
type keyHash struct{ a, b uint64 }

func (b *buckets) hash(key string) keyHash {
	return keyHash{maphash.String(b.seeds[0], key) | 1, maphash.String(b.seeds[1], key)}
}

func (b *buckets) hashOf(key []byte) keyHash {
	return keyHash{maphash.Bytes(b.seeds[0], key) | 1, maphash.Bytes(b.seeds[1], key)}
}

// take takes n units from the bucket of a key, as m counts them. It also reports whether other keys
// share that bucket.
func (b *buckets) take(m meter, key keyHash, now int64, n uint64) (g Grant, shared bool) {
	s := &b.shards[key.b&uint64(len(b.shards)-1)]
	s.mu.Lock()
	defer s.mu.Unlock()
	if i, ok := s.find(key); ok {
		return m.take(&s.slots[i].level, now, n), false
	}
	i, ok := s.add(m, key, now)
	if !ok {
		return m.take(s.sharedBy(key), now, n), true
	}
	g = m.take(&s.slots[i].level, now, n)
	s.fresh = min(s.fresh, m.freshAt(s.slots[i].level))
	return g, false
}

// A shard has the buckets of some keys: a hash table with linear probing.
type shard struct {
	mu     sync.Mutex // guards the fields below
	slots  []slot
	used   int
	most   int     // how many slots may be used
	fresh  int64   // no slot is fresh before
	shared []level // nil until the first key has no slot

	_ [32]byte // so that shards share no cache line
}

// A slot is the bucket of a key; that of the zero hash is free.
type slot struct {
	key keyHash
	level
}

// home returns the index at which the search for a key begins.
func (s *shard) home(key keyHash) int {
	i, _ := bits.Mul64(key.a, uint64(len(s.slots)))
	return int(i)
}

// find returns the index of the slot of a key, or of the free slot where it would be.
func (s *shard) find(key keyHash) (i int, ok bool) {
	if s.slots == nil {
		return 0, false
	}
	for i = s.home(key); s.slots[i].key != (keyHash{}); i = s.after(i) {
		if s.slots[i].key == key {
			return i, true
		}
	}
	return i, false
}

func (s *shard) after(i int) int {
	if i++; i == len(s.slots) {
		return 0
	}
	return i
}

// add adds a slot for a key, and reports false if there is no room. The key may have used a shared
// bucket before, so it begins with what is in that.
func (s *shard) add(m meter, key keyHash, now int64) (i int, ok bool) {
	if s.full() {
		if s.fresh <= now {
			s.sweep(m, now)
		}
		s.grow()
	}
	if s.full() {
		return 0, false
	}
	i, _ = s.find(key)
	s.slots[i] = slot{key, level{at: now}}
	if s.shared != nil {
		s.slots[i].level = *s.sharedBy(key)
	}
	s.used++
	return i, true
}

// full reports whether no slot can be added to the table as large as it is.
func (s *shard) full() bool { return s.used >= min(len(s.slots)/4*3, s.most) }

// sharedBy returns the bucket that a key shares with others.
func (s *shard) sharedBy(key keyHash) *level {
	if s.shared == nil {
		s.shared = make([]level, s.most/sharing+1)
	}
	return &s.shared[(key.b>>32)%uint64(len(s.shared))]
}

// sweep removes all slots that are fresh.
func (s *shard) sweep(m meter, now int64) {
	s.fresh = math.MaxInt64
	for i := 0; i < len(s.slots); {
		if s.slots[i].key == (keyHash{}) {
			i++
			continue
		}
		fresh := m.freshAt(s.slots[i].level)
		if fresh <= now {
			s.remove(i) // another one may take its place
			continue
		}
		s.fresh = min(s.fresh, fresh)
		i++
	}
}

// remove frees slot i, and closes the gap in the chains of slots that lead over it.
func (s *shard) remove(i int) {
	for j := s.after(i); s.slots[j].key != (keyHash{}); j = s.after(j) {
		home := s.home(s.slots[j].key)
		stays := i < home && home <= j
		if j < i { // the chain goes on at the beginning of the table
			stays = i < home || home <= j
		}
		if !stays {
			s.slots[i] = s.slots[j]
			i = j
		}
	}
	s.slots[i] = slot{}
	s.used--
}

// grow makes the table larger if more than half of its room is in use.
func (s *shard) grow() {
	size := min(max(16, 2*len(s.slots)), s.most/3*4+4)
	if size <= len(s.slots) || s.used < len(s.slots)*3/8 {
		return
	}
	old := s.slots
	s.slots = make([]slot, size)
	for _, l := range old {
		if l.key != (keyHash{}) {
			i, _ := s.find(l.key)
			s.slots[i] = l
		}
	}
}
