package cache_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy/cache"
)

// BenchmarkHit compares the answer of a cache with the call that it saves, to an upstream over
// loopback that answers with a Document of 20 KB.
func BenchmarkHit(b *testing.B) {
	var text strings.Builder
	text.WriteString(`{"items":[`)
	for i := 0; text.Len() < 20_000; i++ {
		if i > 0 {
			text.WriteByte(',')
		}
		fmt.Fprintf(&text, `{"id":%d,"name":"item number %d","price":%d.99}`, i, i, i)
	}
	text.WriteString("]}")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "max-age=3600")
		_, _ = w.Write([]byte(text.String()))
	}))
	defer server.Close()
	transport := backend.NewTransport()
	defer transport.CloseIdleConnections()
	upstream := pipe.Check(backend.HTTP{Transport: transport}.New(backend.Spec{Name: "items", URL: server.URL + "/items/{id}"}))
	for _, bb := range []struct {
		name string
		p    proxy.Proxy
	}{
		{"call", upstream},
		{"hit", upstream.With(cache.New(cache.Spec{}).Decorate)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			req := get("/items/7", "Accept: application/json")
			req.Params.Set("id", "7")
			before := processorTime(b)
			for b.Loop() {
				res, err := bb.p(b.Context(), req)
				if err != nil {
					b.Fatal(err)
				}
				if res.Document.Size() == 0 {
					b.Fatal("there is no document")
				}
				_ = res.Close()
			}
			b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

func processorTime(b *testing.B) time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}
