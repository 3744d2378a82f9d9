package byhand

import "sync"

// Buffers saves httputil.ReverseProxy the allocation of 32 KiB for each answer. The zero value is
// ready to use.
type Buffers struct{ pool sync.Pool }

// Get implements [httputil.BufferPool].
func (p *Buffers) Get() []byte {
	if b, ok := p.pool.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, 32<<10)
}

// Put implements [httputil.BufferPool].
func (p *Buffers) Put(b []byte) { p.pool.Put(&b) }
