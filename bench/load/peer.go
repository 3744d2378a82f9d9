package main

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/sluice-go/sluice/bench/byhand"
)

// tuned returns a transport as a careful user of net/http has one: connections stay open.
func tuned() *http.Transport {
	d := net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{DialContext: d.DialContext, MaxIdleConnsPerHost: 2000, IdleConnTimeout: 90 * time.Second, DisableCompression: true}
}

func silent() *log.Logger { return log.New(io.Discard, "", 0) }

// reverseProxy is httputil.ReverseProxy with a pool of buffers. It says to the upstream whom it
// forwards for, as the gateway does.
func reverseProxy(upstream string, _ http.RoundTripper) (http.Handler, error) {
	to, err := url.Parse(upstream)
	if err != nil {
		return nil, err
	}
	return &httputil.ReverseProxy{
		Transport: tuned(), BufferPool: &byhand.Buffers{}, ErrorLog: silent(),
		Rewrite: func(pr *httputil.ProxyRequest) { pr.SetURL(to); pr.SetXForwarded() },
	}, nil
}

func mergeByHand(size string) build { return aggregate(size, byhand.Merge) }

func groupByHand(size string) build { return aggregate(size, byhand.Group) }

func aggregate(size string, combine func([][]byte) ([]byte, error)) build {
	return func(upstream string, _ http.RoundTripper) (http.Handler, error) {
		mux := http.NewServeMux()
		mux.Handle("GET /page/{id}", &byhand.Aggregator{Client: &http.Client{Transport: tuned()}, Base: upstream + "/" + size, Combine: combine})
		return mux, nil
	}
}
