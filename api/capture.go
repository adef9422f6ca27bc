package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"connectrpc.com/connect"

	pb "orrery.dev/orrery/api/orrery/v1alpha1"
	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/plan"
)

// capturer is the further ability of a fabric to copy a port's frames out as a
// pcapng stream.
type capturer interface {
	Capture(fabric.PortID) (stream io.ReadCloser, stop func(), err error)
}

var _, _ capturer = (*fabric.Engine)(nil), (*fabric.Process)(nil)

// chunk of a byte stream in one message.
const chunk = 32 << 10

// capture hands the frames of a port to send until ctx ends, or send fails.
func (s *Server) capture(ctx context.Context, port *plan.Port, send func([]byte) error) error {
	c, ok := s.run.Fabric().(capturer)
	if !ok {
		return connect.NewError(connect.CodeUnimplemented, errors.New("this run's link engine cannot capture"))
	}
	stream, stop, err := c.Capture(fabric.PortID(port.ID))
	if err != nil {
		return connect.NewError(connect.CodeResourceExhausted, err)
	}
	defer stream.Close()
	defer stop()
	defer context.AfterFunc(ctx, stop)()
	buf := make([]byte, chunk)
	for {
		n, err := stream.Read(buf)
		if n > 0 {
			if err := send(buf[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Capture implements the method of the schema.
func (s *Server) Capture(ctx context.Context, req *connect.Request[pb.CaptureRequest], out *connect.ServerStream[pb.CaptureResponse]) error {
	n, err := s.findNode(req.Msg.GetNode())
	if err != nil {
		return err
	}
	port, err := s.portOf(n, req.Msg.GetPort())
	if err != nil {
		return err
	}
	return s.capture(ctx, port, func(b []byte) error { return out.Send(&pb.CaptureResponse{Data: b}) })
}

// download answers with the capture of a port.
func (s *Server) download(w http.ResponseWriter, r *http.Request) {
	port, err := s.findPort(r.PathValue("node") + ":" + r.PathValue("port"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	ctx, cancel := s.untilStopped(r.Context())
	defer cancel()
	Download(w, s.name(port.Node), port.Name, func(send func([]byte) error) error { return s.capture(ctx, port, send) })
}

// Download answers with a capture as a file that grows until the client hangs up.
func Download(w http.ResponseWriter, node, port string, capture func(send func([]byte) error) error) {
	started := false
	err := capture(func(b []byte) error {
		if !started {
			started = true
			w.Header().Set("Content-Type", "application/x-pcapng")
			w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", node+"-"+port+".pcapng"))
			w.WriteHeader(http.StatusOK)
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
		return http.NewResponseController(w).Flush()
	})
	if err != nil && !started {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	}
}
