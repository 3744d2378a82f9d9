package jwt

import (
	"crypto/sha256"
	"sync"
)

// A digest is the SHA-256 of a token.
type digest [sha256.Size]byte

func digestOf(token string) digest {
	var short [1024]byte // most tokens are no longer, and then it costs no allocation
	return sha256.Sum256(append(short[:0], token...))
}

// A memory remembers the tokens that were verified last, a bounded number of them. They are in two
// halves: when the young half is full it becomes the old one, which is forgotten, and what is asked
// for in the old one becomes young again.
type memory struct {
	half int

	mu         sync.RWMutex // guards what follows
	young, old map[digest]*credential
}

func newMemory(most int) *memory {
	return &memory{half: max(most/2, 1), young: map[digest]*credential{}}
}

func (m *memory) get(d digest) *credential {
	if m == nil {
		return nil
	}
	m.mu.RLock()
	c, young := m.young[d]
	if !young {
		c = m.old[d]
	}
	m.mu.RUnlock()
	if c != nil && !young {
		m.put(d, c)
	}
	return c
}

func (m *memory) put(d digest, c *credential) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.young) >= m.half {
		m.old, m.young = m.young, make(map[digest]*credential, m.half)
	}
	m.young[d] = c
	delete(m.old, d)
}

func (m *memory) forget(d digest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.young, d)
	delete(m.old, d)
}
