package shape

import (
	"errors"
	"net/url"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

var errNoName = errors.New("the name is empty")

// SetQuery returns a decorator that sets a parameter of the query. It replaces all values that the
// client sent under that name. An upstream still receives only the parameters that its Spec or
// Request.UpstreamQuery names. Names are compared byte for byte. An empty name is
// a fault in the plan. The plan shows only the name.
func SetQuery(name, value string) proxy.Decorator {
	return onRequest("set-query", name, pipe.WritesRequest, present(name), func(req *proxy.Request) {
		if req.Query == nil {
			req.Query = url.Values{}
		}
		req.Query[name] = []string{value}
	})
}

// RemoveQuery returns a decorator that removes a parameter of the query with all its values. An
// empty name is a fault in the plan.
func RemoveQuery(name string) proxy.Decorator {
	return onRequest("remove-query", name, pipe.WritesRequest, present(name), func(req *proxy.Request) { delete(req.Query, name) })
}

func present(name string) error {
	if name == "" {
		return errNoName
	}
	return nil
}
