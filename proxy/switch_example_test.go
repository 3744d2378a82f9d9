package proxy_test

import (
	"context"
	"fmt"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// The conditions are checked in the order given, until one holds.
func ExampleSwitch() {
	says := func(name string) proxy.Proxy { // a backend in a real gateway
		return pipe.NamedPipe(name, func(context.Context, *proxy.Request) (*proxy.Response, error) {
			fmt.Println(name, "called")
			return &proxy.Response{}, nil
		})
	}
	plan := func(want string) func(context.Context, *proxy.Request) bool {
		return func(_ context.Context, req *proxy.Request) bool {
			fmt.Println("is it", want+"?")
			return req.Header.Get("Plan") == want
		}
	}

	search := proxy.Switch(
		proxy.Case{Name: "gold", When: plan("gold"), Proxy: says("large index")},
		proxy.Case{Name: "silver", When: plan("silver"), Proxy: says("small index")},
		proxy.Case{Name: "trial", When: plan("trial"), Proxy: says("samples")},
	)
	req := proxy.NewRequest("GET", "/search")
	for _, is := range []string{"silver", "none"} {
		req.Header.Set("Plan", is)
		res, err := search(context.Background(), req)
		if err != nil {
			fmt.Println(proxy.StatusOf(err), err)
		}
		_ = res.Close()
	}
	fmt.Print(pipe.PlanOf(search))
	// Output:
	// is it gold?
	// is it silver?
	// small index called
	// is it gold?
	// is it silver?
	// is it trial?
	// 404 switch: no case holds for the request
	// → switch (3 cases, no default), one of
	//   · case gold
	//     ↔ large index
	//   · case silver
	//     ↔ small index
	//   · case trial
	//     ↔ samples
}

// A page in a language that is not translated yet is answered by the old site.
func ExampleIf() {
	says := func(name string) proxy.Proxy { // a backend in a real gateway
		return pipe.NamedPipe(name, func(context.Context, *proxy.Request) (*proxy.Response, error) {
			fmt.Println(name, "called")
			return &proxy.Response{}, nil
		})
	}
	translated := func(_ context.Context, req *proxy.Request) bool { return req.Params.Get("lang") == "en" }

	page := proxy.If(translated, says("new site"), says("old site"))
	for _, lang := range []string{"en", "nl"} {
		req := proxy.NewRequest("GET", "/"+lang)
		req.Params.Set("lang", lang)
		res, _ := page(context.Background(), req)
		_ = res.Close()
	}
	// Output:
	// new site called
	// old site called
}
