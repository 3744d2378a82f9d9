package policy

import (
	"net/http"

	"github.com/sluice-go/sluice/proxy"
)

// checked holds what a proxy returned to the contract, a response or an error, for policies that look at it.
func checked(res *proxy.Response, err error) (*proxy.Response, error) {
	if err != nil {
		_ = res.Close()
		return nil, err
	}
	if res == nil {
		return nil, &proxy.Error{Status: http.StatusInternalServerError, Err: proxy.ErrNoResponse}
	}
	return res, nil
}

// open reports whether there is something left to read: the response is a stream.
func open(res *proxy.Response) bool { return res.Body != nil || res.Upgrade != nil }
