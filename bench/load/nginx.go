package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// nginxPath returns where nginx is installed, or "".
func nginxPath() string {
	for _, name := range []string{"nginx", "/usr/sbin/nginx", "/usr/local/sbin/nginx"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// nginxConfig is for a passthrough. It logs nothing, keeps connections open, and streams large bodies.
const nginxConfig = `daemon off;
pid {dir}/pid;
error_log stderr crit;
worker_processes {workers};
worker_rlimit_nofile 20000;
events { worker_connections 15000; }
http {
	access_log off;
	keepalive_requests 1000000000;
	client_max_body_size 0;
	client_body_temp_path {dir}/body;
	proxy_temp_path {dir}/proxy;
	fastcgi_temp_path {dir}/fastcgi;
	uwsgi_temp_path {dir}/uwsgi;
	scgi_temp_path {dir}/scgi;
	upstream up { server {upstream}; keepalive 1000; keepalive_requests 1000000000; }
	server {
		listen {addr};
		location / {
			proxy_pass http://up;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header X-Forwarded-For $remote_addr;
			proxy_set_header X-Forwarded-Host $host;
			proxy_set_header X-Forwarded-Proto $scheme;
			proxy_request_buffering off;
			proxy_max_temp_file_size 0;
		}
	}
}
`

// serveNginx runs nginx at the address of l, which it closes first, until ctx is done.
func serveNginx(ctx context.Context, l net.Listener, upstream string) error {
	to, err := url.Parse(upstream)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "load-nginx-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		return err
	}
	text := strings.NewReplacer("{dir}", dir, "{addr}", addr, "{upstream}", to.Host,
		"{workers}", fmt.Sprint(runtime.GOMAXPROCS(0))).Replace(nginxConfig)
	config := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, nginxPath(), "-e", "stderr", "-p", dir, "-c", config)
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // its workers end too
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := listening(ctx, addr); err != nil {
		return errors.Join(err, cmd.Cancel(), cmd.Wait())
	}
	if err := announce(place{Addr: addr}); err != nil {
		return err
	}
	if err := cmd.Wait(); ctx.Err() == nil {
		return fmt.Errorf("nginx ended: %w", err)
	}
	return nil
}

// listening returns once somebody accepts connections at addr.
func listening(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	every := time.NewTicker(10 * time.Millisecond)
	defer every.Stop()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			return err
		}
	}
}
