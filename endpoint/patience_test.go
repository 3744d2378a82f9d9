package endpoint_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/proxy"
)

// A timedWriter is a ResponseWriter that remembers how long each write could have lasted.
type timedWriter struct {
	*httptest.ResponseRecorder
	deadline time.Time
	sets     int
	left     []time.Duration
}

func (p *timedWriter) SetWriteDeadline(deadline time.Time) error {
	p.deadline = deadline
	p.sets++
	return nil
}

func (p *timedWriter) Write(b []byte) (int, error) {
	p.left = append(p.left, time.Until(p.deadline))
	return p.ResponseRecorder.Write(b)
}

// A slow reader reads a byte after each pause.
type slow struct {
	pause time.Duration
	n     int
}

func (s *slow) Read(p []byte) (int, error) {
	if s.n == 0 {
		return 0, io.EOF
	}
	<-time.After(s.pause)
	s.n--
	return copy(p, "x"), nil
}

// proves M29
func TestEachWriteHasItsTimeAndAtMostASecondMore(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ limit, pause, more time.Duration }{
		"the default":   {0, 300 * time.Millisecond, time.Second},
		"a long limit":  {time.Hour, 300 * time.Millisecond, time.Second},
		"a short limit": {50 * time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond},
		"rare writes":   {time.Second, time.Minute / 2, 100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				limit := tt.limit
				if limit == 0 {
					limit = endpoint.DefaultWriteTimeout
				}
				h := newHandler(t, endpoint.Spec{WriteTimeout: tt.limit, Proxy: answers(func() *proxy.Response {
					return &proxy.Response{Body: io.NopCloser(&slow{tt.pause, 20})}
				})})
				w := &timedWriter{ResponseRecorder: httptest.NewRecorder()}
				h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
				assert.Len(t, w.left, 20)
				for _, left := range w.left {
					assert.GreaterOrEqual(t, left, limit)
					assert.LessOrEqual(t, left, limit+tt.more)
				}
				if tt.pause < tt.more {
					assert.Less(t, w.sets, 10, "most writes have the deadline of an earlier one")
				}
			})
		})
	}
}

func TestADocumentIsWrittenInPiecesOf256KiB(t *testing.T) {
	t.Parallel()
	large := `"` + strings.Repeat("x", 1<<20) + `"`
	h := newHandler(t, endpoint.Spec{Proxy: answers(func() *proxy.Response { return &proxy.Response{Document: documentOf(large)} })})
	w := &timedWriter{ResponseRecorder: httptest.NewRecorder()}
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	assert.Len(t, w.left, 5)
	assert.Equal(t, large, w.Body.String())
}
