package async_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluice-go/sluice/async"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// The agent processes a published request, through the decorators of its proxy.
func ExampleAgent() {
	send := proxy.Proxy(func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		mail, err := req.Document()
		if err != nil {
			return nil, err
		}
		fmt.Println("send:", req.Method, req.Path, mail)
		return &proxy.Response{}, nil
	})
	audit := func(next proxy.Proxy) proxy.Proxy {
		return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			fmt.Println("audit: in")
			defer fmt.Println("audit: out")
			return next(ctx, req)
		}
	}
	queue := async.NewMemory(10)
	agent, err := async.New(async.Spec{
		Name:   "mail",
		Source: queue,
		Proxy:  pipe.NamedPipe("send", send).With(pipe.Named("audit", audit)),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(agent.Plan())

	ctx := context.Background()
	publish := queue.Publisher() // for example the proxy of an endpoint
	req := proxy.NewRequest("POST", "/mail")
	req.SetBody("application/json", []byte(`{"to":"ann"}`))
	res, err := publish(ctx, req)
	fmt.Println("published:", res.StatusCode(), err)

	queue.Close() // so that Run ends when the queue is empty
	fmt.Println("ended:", agent.Run(ctx))
	// Output:
	// ↔ agent mail (1 worker, timeout 10s)
	//   ↔ audit
	//     ↔ send
	// published: 202 <nil>
	// audit: in
	// send: POST /mail {"to":"ann"}
	// audit: out
	// ended: <nil>
}

// A failed message is delivered again, after a wait that grows; Report gets each failure.
func ExampleMemory() {
	queue := async.NewMemory(10)
	queue.Backoff = async.Backoff{First: -1, Tries: 2} // no wait, for the example
	agent, err := async.New(async.Spec{
		Name:   "orders",
		Source: queue,
		Proxy: func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return nil, errors.New("the warehouse is closed")
		},
		Report: func(_ context.Context, err error) { fmt.Println(err) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	if _, err := queue.Publisher()(ctx, proxy.NewRequest("POST", "/orders")); err != nil {
		fmt.Println(err)
	}
	queue.Close()
	fmt.Println(agent.Run(ctx))
	// Output:
	// agent orders: message "1" (attempt 1): the warehouse is closed
	// agent orders: message "1" (attempt 2): the warehouse is closed
	// agent orders: message "1" (attempt 2): nack: the message is dropped after 2 deliveries
	// <nil>
}

// A factory adds what every agent of an organization has.
func ExampleFactoryFunc() {
	house := async.FactoryFunc(func(s async.Spec) (*async.Agent, error) {
		s.Proxy = s.Proxy.With(pipe.Recover)
		s.Workers = 4
		return async.New(s)
	})
	work := pipe.NamedPipe("work", func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{}, nil
	})
	var agents async.Factory = house
	agent, err := agents.New(async.Spec{Name: "orders", Source: async.NewMemory(1), Proxy: work})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(agent.Plan())
	// Output:
	// ↔ agent orders (4 workers, timeout 10s)
	//   ← recover
	//     ↔ work
}

// The error that a source returns decides how the agent goes on.
func ExampleTransient() {
	lost := errors.New("connection lost")
	err := async.Transient(lost) // Receive returns it: the agent waits and tries again
	fmt.Println(err, errors.Is(err, lost))
	// Output: connection lost true
}
