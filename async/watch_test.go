package async_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-go/sluice/async"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/explain"
	"github.com/sluice-go/sluice/proxy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An ear is a watcher that keeps the request and the outcome of the agent's step.
type ear struct {
	req, res any
	err      error
	left     int
}

func (e *ear) Enter(ctx context.Context, s *pipe.Step, req any) (context.Context, pipe.Watcher) {
	if s.Kind != "agent" {
		return ctx, nil
	}
	e.req = req
	return ctx, e
}

func (e *ear) Leave(res any, err error) { e.res, e.err, e.left = res, err, e.left+1 }
func (e *ear) Note(string, string)      {}

func (e *ear) watch() pipe.Watch {
	return pipe.Watch{Start: func(context.Context) pipe.Watcher { return e }}
}

func TestTheWatchOfAnAgentGetsItsMessageAndItsAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var l ledger
		var e ear
		m := l.message("a")
		runs(t, &l, async.Spec{Proxy: ok, Watch: e.watch()}, gives(m))
		assert.Same(t, m.Request, e.req)
		assert.Equal(t, http.StatusOK, e.res.(*proxy.Response).StatusCode())
		assert.NoError(t, e.err)
		assert.Equal(t, 1, e.left)
		assert.Equal(t, []string{"a"}, l.acked)
	})
}

func TestTheWatchOfAnAgentHearsOfEachFailure(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	tests := []struct {
		name   string
		spec   async.Spec
		change func(m *async.Message)
		want   error
		status int
	}{
		{"of the proxy", async.Spec{Proxy: func(context.Context, *proxy.Request) (*proxy.Response, error) { return nil, down }}, nil, down, 502},
		{"a partial answer", async.Spec{Proxy: func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Err: down}, nil
		}}, nil, async.ErrPartial, 502},
		{"too large a body", async.Spec{Proxy: ok, MaxBody: 3}, func(m *async.Message) { m.Request.Body = &body{Reader: strings.NewReader("a body")} }, async.ErrTooLarge, 413},
		{"a missing param", async.Spec{Proxy: ok, Params: []string{"id"}}, nil, nil, 400},
		{"a deaf proxy", async.Spec{Timeout: time.Second, Proxy: func(context.Context, *proxy.Request) (*proxy.Response, error) {
			time.Sleep(time.Minute)
			return &proxy.Response{}, nil
		}}, nil, context.DeadlineExceeded, 504},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var l ledger
				var e ear
				tt.spec.Watch = e.watch()
				m := l.message("a")
				if tt.change != nil {
					tt.change(&m)
				}
				runs(t, &l, tt.spec, gives(m))
				assert.Equal(t, tt.status, proxy.StatusOf(e.err), "%v", e.err)
				if tt.want != nil {
					assert.ErrorIs(t, e.err, tt.want)
				}
				assert.Equal(t, 1, e.left)
				assert.Equal(t, []string{"a"}, l.nacked)
				time.Sleep(time.Hour)
			})
		})
	}
}

func TestAPanicInTheWatchOfAnAgentIsReportedAndChangesNothing(t *testing.T) {
	t.Parallel()
	watch := pipe.Watch{Start: func(context.Context) pipe.Watcher { panic("bad hook") }}
	bubbled := func(t *testing.T) {
		var l ledger
		runs(t, &l, async.Spec{Proxy: ok, Watch: watch}, l.delivers("a"))
		assert.Equal(t, []string{"a"}, l.acked)
		require.Len(t, l.reports, 1)
		assert.EqualError(t, l.reports[0], "pipe: Watch: panic: bad hook")
	}
	synctest.Test(t, bubbled)
}

func TestTheTraceOfAnAgentKeepsTheLaw(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var l ledger
		var trace *explain.Trace
		a := newAgent(t, &l, async.Spec{
			Name:   "mailer",
			Source: &script{plays: []play{l.delivers("a")}},
			Proxy:  pipe.NamedPipe("send", ok),
			Watch:  pipe.Watch{Start: func(context.Context) pipe.Watcher { return trace.Watcher() }},
		})
		trace = explain.New(a.Plan())
		ctx, cancel := context.WithCancel(t.Context())
		ended := starts(ctx, a)
		synctest.Wait()
		cancel()
		<-ended
		assert.NoError(t, trace.Check(a.Plan()))
		assert.Zero(t, trace.Running())
		assert.True(t, strings.HasPrefix(trace.String(), "↔ agent mailer (1 worker, timeout 10s)  # 200\n"), trace)
		assert.False(t, a.Plan().Watched())
	})
}
