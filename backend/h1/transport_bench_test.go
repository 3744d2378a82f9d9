//go:build unix

package h1_test

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-go/sluice/backend/h1"
)

// cpu returns the processor time of the process.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRoundTrip calls a server in the same process over loopback. The processor time includes
// that of the server.
func BenchmarkRoundTrip(b *testing.B) {
	for _, size := range []int{1 << 10, 20 << 10} {
		body := bytes.Repeat([]byte("x"), size)
		url := newServer(b, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(size))
			_, _ = w.Write(body)
		})
		for name, transport := range map[string]http.RoundTripper{
			"h1":       newTransport(b),
			"net_http": &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 100},
		} {
			b.Run(strconv.Itoa(size)+"/"+name, func(b *testing.B) {
				defer func() { transport.(interface{ CloseIdleConnections() }).CloseIdleConnections() }()
				b.ReportAllocs()
				b.SetParallelism(16)
				before := cpu()
				b.RunParallel(func(pb *testing.PB) {
					room := make([]byte, 32<<10)
					req, _ := http.NewRequestWithContext(b.Context(), "GET", url, nil)
					for pb.Next() {
						res, err := transport.RoundTrip(req)
						if err != nil {
							b.Error(err)
							return
						}
						for err == nil {
							_, err = res.Body.Read(room)
						}
						if err != io.EOF {
							b.Error(err)
						}
						_ = res.Body.Close()
					}
				})
				b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
			})
		}
	}
}

var _ http.RoundTripper = (*h1.Transport)(nil)
