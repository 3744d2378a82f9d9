package balance

import (
	"context"
	"fmt"
	"time"

	"github.com/sluice-go/sluice/internal/call"
)

// A Change says that the state of a host has changed.
type Change struct {
	Pool string // the name of the pool
	Host string // the address
	From State  // "" if the host is new
	To   State  // "" if it has left
	Why  string // as in HostState
}

// hookTime is how long a call waits for OnChange.
const hookTime = 500 * time.Millisecond

// maxChanges is how many changes wait for OnChange.
const maxChanges = 1000

// tell has OnChange told what has changed, in order, and waits for it a little. If somebody else is
// telling it, that one tells all. The caller holds no lock.
func (p *Pool) tell(ctx context.Context) {
	if !p.pending.Load() || !p.startTelling() {
		return
	}
	soon, cancel := context.WithTimeout(context.Background(), hookTime)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	_, err := call.Guard(soon, nil, nil, func() (struct{}, error) {
		for {
			change, ok := p.nextChange()
			if !ok {
				return struct{}{}, nil
			}
			p.change(ctx, change)
		}
	})
	if err != nil && ctx.Err() == nil {
		call.Report(ctx, fmt.Errorf("%s: OnChange: %w", p.spec.where(), err))
	}
}

// change tells OnChange one change.
func (p *Pool) change(ctx context.Context, c Change) {
	err := call.Apart(func() error {
		p.spec.OnChange(c)
		return nil
	})
	if err != nil {
		call.Report(ctx, fmt.Errorf("%s: OnChange: %w", p.spec.where(), err))
	}
}

func (p *Pool) startTelling() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.telling {
		return false
	}
	p.telling = true
	return true
}

// nextChange takes the next change. If there is none, the caller has told all, and others may tell.
func (p *Pool) nextChange() (c Change, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.changes) == 0 {
		p.pending.Store(false)
		p.telling = false
		return c, false
	}
	c, p.changes = p.changes[0], p.changes[1:]
	return c, true
}
