package pipetest_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/pipetest"
)

// A sheet is an answer in memory that can be lent.
type sheet struct{ text []byte }

type paging = pipe.Pipe[int, *sheet]

// borrower returns a subject whose decorator does what call does and says that it borrows.
func borrower(call func(ctx context.Context, q int, next paging) (*sheet, error)) pipetest.Subject[int, *sheet] {
	return pipetest.Subject[int, *sheet]{
		New: func() pipe.Decorator[int, *sheet] {
			return func(next paging) paging {
				return pipe.Describe(func(ctx context.Context, q int) (*sheet, error) { return call(ctx, q, next) },
					pipe.Step{Kind: "borrower", Effects: pipe.CallsOnce | pipe.Borrows}, next)
			}
		},
		Response: func() *sheet { return &sheet{[]byte("some text")} },
		Show:     func(p *sheet) string { return string(p.text) },
		Lent: func() (*sheet, []byte) {
			memory := []byte("a text that is long enough for memory of its own")
			return &sheet{memory[2:20]}, memory
		},
	}
}

func TestDecoratorsThatBorrow(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var copies []string
	for name, call := range map[string]func(ctx context.Context, q int, next paging) (*sheet, error){
		"passes on": func(ctx context.Context, q int, next paging) (*sheet, error) { return next(ctx, q) },
		"keeps a copy": func(ctx context.Context, q int, next paging) (*sheet, error) {
			p, err := next(ctx, q)
			if err == nil && p != nil {
				mu.Lock()
				defer mu.Unlock()
				copies = append(copies, string(p.text))
			}
			return p, err
		},
		"answers with a part": func(ctx context.Context, q int, next paging) (*sheet, error) {
			p, err := next(ctx, q)
			if err == nil && p != nil {
				p.text = p.text[:len(p.text):len(p.text)]
			}
			return p, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pipetest.Laws(t, borrower(call))
		})
	}
}

func TestDecoratorsThatOnlySayThatTheyBorrow(t *testing.T) {
	t.Parallel()
	const held, late = "the memory of a response is held", "the call returned before a call of next had"
	tests := []struct {
		name string
		make func() func(ctx context.Context, q int, next paging) (*sheet, error)
		want string
	}{
		{"keeps a response", func() func(context.Context, int, paging) (*sheet, error) {
			var last atomic.Pointer[sheet]
			return func(ctx context.Context, q int, next paging) (p *sheet, err error) {
				p, err = next(ctx, q)
				last.Store(p)
				return p, err
			}
		}, held},
		{"keeps a part of it", func() func(context.Context, int, paging) (*sheet, error) {
			var parts sync.Map
			return func(ctx context.Context, q int, next paging) (p *sheet, err error) {
				if p, err = next(ctx, q); p != nil {
					parts.Store(p, p.text[3:5])
				}
				return p, err
			}
		}, held},
		{"answers with what it kept", func() func(context.Context, int, paging) (*sheet, error) {
			var kept atomic.Pointer[sheet]
			return func(ctx context.Context, q int, next paging) (*sheet, error) {
				if first := kept.Load(); first != nil {
					return first, nil
				}
				p, err := next(ctx, q)
				kept.Store(p)
				return p, err
			}
		}, "the caller got a part of a response of an earlier call"},
		{"fails with what it kept", func() func(context.Context, int, paging) (*sheet, error) {
			var kept atomic.Pointer[sheet]
			return func(ctx context.Context, q int, next paging) (*sheet, error) {
				if first := kept.Load(); first != nil {
					return nil, errors.New(string(first.text))
				}
				p, err := next(ctx, q)
				kept.Store(p)
				return p, err
			}
		}, "an error has a part of a response of an earlier call"},
		{"keeps it in a timer", func() func(context.Context, int, paging) (*sheet, error) {
			return func(ctx context.Context, q int, next paging) (*sheet, error) {
				p, err := next(ctx, q)
				time.AfterFunc(10*pipetest.Patience, func() { _ = p })
				return p, err
			}
		}, held},
		{"calls on", func() func(context.Context, int, paging) (*sheet, error) {
			return func(ctx context.Context, q int, next paging) (*sheet, error) {
				go func() { _, _ = next(ctx, q) }()
				return next(ctx, q)
			}
		}, late},
		{"calls later", func() func(context.Context, int, paging) (*sheet, error) {
			return func(ctx context.Context, q int, next paging) (*sheet, error) {
				time.AfterFunc(time.Second, func() { _, _ = next(ctx, q) })
				return next(ctx, q)
			}
		}, late},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := borrower(nil)
			s.New = func() pipe.Decorator[int, *sheet] { return borrower(tt.make()).New() }
			err := pipetest.Check(t, s)
			require.Error(t, err)
			assert.Contains(t, err.Error(), "borrowing: "+tt.want)
		})
	}
}
