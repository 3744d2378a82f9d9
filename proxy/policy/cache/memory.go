package cache

import (
	"context"
	"math"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/sluice-go/sluice/internal/mark"
)

// DefaultMemory is how many bytes a [Memory] holds by default: 64 MiB.
const DefaultMemory = 64 << 20

// Memory is a [Store] in the memory of the process. It never holds more bytes than it may, with what
// it needs itself for each entry. Of too many entries those go that are asked for least often and
// least recently (W-TinyLFU). It starts no goroutine.
type Memory struct {
	entries *otter.Cache[string, held]
}

type held struct {
	entry *Entry
	until time.Time
}

// NewMemory returns an empty Memory of that many bytes. 0 is [DefaultMemory], and a negative number
// is no limit.
func NewMemory(bytes int64) *Memory {
	if bytes == 0 {
		bytes = DefaultMemory
	}
	options := &otter.Options[string, held]{Executor: func(f func()) { f() }} // on the goroutine of the caller
	m := new(Memory)
	if bytes > 0 {
		options.MaximumWeight = uint64(bytes)
		options.Weigher = func(key string, h held) uint32 { return uint32(min(weight(key, h.entry), math.MaxUint32)) }
	}
	m.entries = otter.Must(options) // fails only for options that contradict each other
	return m
}

func weight(key string, e *Entry) int64 { return int64(len(key)) + int64(e.Size()) }

// Get returns the entries with these keys. It never fails.
func (m *Memory) Get(_ context.Context, keys ...string) ([]*Entry, error) {
	entries := make([]*Entry, len(keys))
	m.get(entries, keys)
	return entries, nil
}

func (m *Memory) get(entries []*Entry, keys []string) {
	now := time.Now()
	for i, key := range keys {
		if h, ok := m.entries.GetIfPresent(key); ok && now.Before(h.until) {
			entries[i] = h.entry
		}
	}
}

// Set keeps an entry for the time ttl, or until it has to make room. It never fails; an entry that is
// larger than all that the Memory may hold is not kept, nor is one that it would replace.
func (m *Memory) Set(_ context.Context, key string, e *Entry, ttl time.Duration) error {
	m.entries.Set(key, held{entry: e, until: time.Now().Add(ttl)})
	return nil
}

// Bytes returns about how many bytes the entries take, or 0 where there is no limit.
func (m *Memory) Bytes() int64 { return int64(m.entries.WeightedSize()) }

// Len returns about how many entries there are, with those that serve to find others.
func (m *Memory) Len() int { return m.entries.EstimatedSize() }

// Mark says that a Memory neither blocks nor fails.
func (*Memory) Mark() mark.Type { return mark.TypeOf[*Memory]() }
