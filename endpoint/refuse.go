package endpoint

import "net/http"

// Refuse answers a request that the router in front does not let through, as if the endpoint had
// refused it: with its request id, its RenderError, and its Report. The pipe is not called.
func (h *handler) Refuse(w http.ResponseWriter, r *http.Request, err error) {
	x := h.newExchange(w, r)
	defer x.sendAtExit()
	defer x.end()
	id, broken := h.requestID(r)
	x.ctx.id = id
	if broken != nil {
		err = broken
	}
	x.refuse(err)
	x.served = true
}
