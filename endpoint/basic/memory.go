package basic

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"
)

// maxRemembered is how many passwords are remembered.
const maxRemembered = 10_000

type digest [sha256.Size]byte

// A memory knows which passwords were right a while ago. The hash of the user is part of what it knows, so
// a password that was changed is forgotten.
type memory struct {
	key   [32]byte // of this process
	lasts time.Duration

	mu    sync.Mutex // guards until
	until map[digest]time.Time
}

func newMemory(lasts time.Duration) *memory {
	m := &memory{lasts: lasts, until: map[digest]time.Time{}}
	_, _ = rand.Read(m.key[:]) // never fails
	return m
}

// digestOf returns what is known of a password.
func (m *memory) digestOf(name string, hash []byte, password string) (d digest) {
	h := hmac.New(sha256.New, m.key[:])
	for _, part := range [...]string{name, string(hash), password} {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		h.Write(size[:])
		h.Write([]byte(part))
	}
	h.Sum(d[:0])
	return d
}

// has reports whether the password was right a while ago.
func (m *memory) has(d digest) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	until, ok := m.until[d]
	return ok && time.Now().Before(until)
}

// add remembers a password that was right. If there are too many, those that are over go, or else all.
func (m *memory) add(d digest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if len(m.until) >= maxRemembered {
		for known, until := range m.until {
			if !now.Before(until) {
				delete(m.until, known)
			}
		}
		if len(m.until) >= maxRemembered {
			clear(m.until)
		}
	}
	m.until[d] = now.Add(m.lasts)
}
