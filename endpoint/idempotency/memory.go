package idempotency

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sluice-go/sluice/internal/due"
	"github.com/sluice-go/sluice/internal/mark"
)

// DefaultMemory is how many bytes a [Memory] holds by default: 64 MiB.
const DefaultMemory = 64 << 20

// ErrFull is why a [Memory] accepts no further key. It comes with [ErrAnswers].
var ErrFull = errors.New("the memory is full of answers whose time is not over")

// Memory is an [Answers] in the memory of the process, for a gateway of a single process. Another process
// does not know its keys, and they are lost when the process ends. It starts no goroutine.
//
// It never holds more bytes than it may, and never forgets a key before its time. When it is full, a
// request with a new key is refused with 503, [ErrAnswers] and [ErrFull]. A limit by caller around
// [Require] keeps one caller from filling it. An answer for which there is no room is not kept, and a
// repeat of its request is refused with [ErrNotKept].
type Memory struct {
	limit int64 // negative is none

	mu      sync.Mutex // guards what follows
	entries map[string]*due.Item[entry]
	queue   due.Queue[entry]
	bytes   int64
}

// An entry is what is under a key.
type entry struct {
	key   string
	value []byte
}

// entryOverhead is about what an entry takes besides its key and value.
const entryOverhead = 160

func sizeOf(key string, value []byte) int64 { return entryOverhead + int64(len(key)+len(value)) }

// NewMemory returns an empty Memory that holds at most this many bytes. 0 is [DefaultMemory], and a
// negative number is no limit.
func NewMemory(bytes int64) *Memory {
	if bytes == 0 {
		bytes = DefaultMemory
	}
	return &Memory{limit: bytes, entries: map[string]*due.Item[entry]{}}
}

// Claim implements [Answers]. It fails only with [ErrFull].
func (m *Memory) Claim(_ context.Context, key string, claim []byte, lease time.Duration) ([]byte, error) {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expire(now)
	if e := m.entries[key]; e != nil {
		return e.Value.value, nil
	}
	size := sizeOf(key, claim)
	if m.limit >= 0 && m.bytes+size > m.limit {
		return nil, ErrFull
	}
	m.entries[key] = m.queue.Add(entry{key, claim}, now.Add(lease))
	m.bytes += size
	return nil, nil
}

// Keep implements [Answers]. It fails only with [ErrFull], for a value that is larger than the claim.
func (m *Memory) Keep(_ context.Context, key string, claim, value []byte, ttl time.Duration) (bool, error) {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.claimed(key, claim, now)
	if e == nil {
		return false, nil
	}
	more := int64(len(value) - len(claim))
	if m.limit >= 0 && more > 0 && m.bytes+more > m.limit {
		return false, ErrFull
	}
	e.Value.value = value
	m.queue.Move(e, now.Add(ttl))
	m.bytes += more
	return true, nil
}

// Release implements [Answers]. It never fails.
func (m *Memory) Release(_ context.Context, key string, claim []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.claimed(key, claim, time.Now()); e != nil {
		m.queue.Remove(e)
		m.drop(&e.Value)
	}
	return nil
}

// claimed returns the entry of a claim, or nil. The caller holds the lock.
func (m *Memory) claimed(key string, claim []byte, now time.Time) *due.Item[entry] {
	m.expire(now)
	e := m.entries[key]
	if e == nil || !bytes.Equal(e.Value.value, claim) {
		return nil
	}
	return e
}

// expire removes the entries whose time is over. The caller holds the lock.
func (m *Memory) expire(now time.Time) {
	for ended := m.queue.Next(now); ended != nil; ended = m.queue.Next(now) {
		m.drop(&ended.Value)
	}
}

// drop forgets an entry that is no longer in the queue. The caller holds the lock.
func (m *Memory) drop(e *entry) {
	delete(m.entries, e.key)
	m.bytes -= sizeOf(e.key, e.value)
}

// Len returns how many keys there are.
func (m *Memory) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expire(time.Now())
	return len(m.entries)
}

// Bytes returns about how many bytes the keys and their values take.
func (m *Memory) Bytes() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expire(time.Now())
	return m.bytes
}

// Waits returns 0: a Memory keeps nobody waiting.
func (m *Memory) Waits() time.Duration { return 0 }

// Mark says that a Memory neither blocks nor runs code of a user.
func (m *Memory) Mark() mark.Type { return mark.TypeOf[*Memory]() }
