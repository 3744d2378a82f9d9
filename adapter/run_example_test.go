package adapter_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/sluice-go/sluice/adapter"
)

func ExampleRun() {
	listener, err := net.Listen("tcp", "127.0.0.1:0") // or set Addr instead
	if err != nil {
		log.Fatal(err)
	}
	transport := &http.Transport{} // of the upstreams; here the client below uses it too
	answer := make(chan string, 1)
	go func() {
		res, err := (&http.Client{Transport: transport}).Get("http://" + listener.Addr().String())
		if err != nil {
			log.Fatal(err)
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		answer <- string(body)
	}()

	ctx, stop := context.WithCancel(context.Background()) // a program: signal.NotifyContext(…, syscall.SIGTERM)
	defer stop()
	draining := make(chan struct{})
	err = adapter.Run(ctx,
		adapter.Server{
			Listener: listener,
			Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				stop() // as SIGTERM would, while a request is in flight
				<-draining
				fmt.Println("request: finished")
				fmt.Fprint(w, "an answer")
			}),
			OnDrain:    []func(){func() { fmt.Println("readiness: down"); close(draining) }},
			Transports: []adapter.IdleCloser{transport},
		},
		adapter.RunnerFunc(func(ctx context.Context) error {
			<-ctx.Done()
			fmt.Println("runner: stopped")
			return nil
		}),
	)
	fmt.Println("Run:", err)
	fmt.Println("client:", <-answer)
	// Output:
	// readiness: down
	// request: finished
	// runner: stopped
	// Run: <nil>
	// client: an answer
}

// A second server for operators, in the same Run. It answers until the public one has drained.
func ExampleServer() {
	public, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	admin, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	ready := make(chan struct{}) // closed when it no longer is
	readyz := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		select {
		case <-ready:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
		}
	})
	mux := http.NewServeMux() // and pprof, plans …
	mux.Handle("GET /readyz", readyz)

	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	transport := &http.Transport{}
	ask := func() {
		res, err := (&http.Client{Transport: transport}).Get("http://" + admin.Addr().String() + "/readyz")
		if err != nil {
			log.Fatal(err)
		}
		res.Body.Close()
		fmt.Println("readyz:", res.StatusCode)
	}

	err = adapter.Run(ctx,
		adapter.Server{
			Listener: public, Handler: http.NotFoundHandler(), Transports: []adapter.IdleCloser{transport},
			OnDrain:    []func(){func() { close(ready) }},
			DrainDelay: 10 * time.Millisecond, // 5 s or so behind a load balancer
		},
		adapter.Server{Listener: admin, Handler: mux, Admin: true},
		adapter.RunnerFunc(func(ctx context.Context) error {
			ask()
			stop() // the signal
			<-ctx.Done()
			ask()
			return nil
		}),
	)
	fmt.Println("Run:", err)
	// Output:
	// readyz: 200
	// readyz: 503
	// Run: <nil>
}
