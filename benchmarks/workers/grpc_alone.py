"""gRPC's own server around a prediction, with nothing of a service: the most that one can reach."""

import sys
from concurrent.futures import ThreadPoolExecutor

import grpc

from benchmarks.worker import answer
from benchmarks.workers.inprocess import Predictor
from pellucid.v1 import inference_pb2

SERVICE, METHOD = "pellucid.v1.InferenceService", "Predict"
THREADS = 16


def main(path: str, precision: str, streams: int) -> None:
    """Answers any question with its port."""
    predictor = Predictor(path, precision, streams)

    def predict(request: inference_pb2.PredictRequest, _: grpc.ServicerContext) -> object:
        predictor.predict(request.inputs[0].image)
        return inference_pb2.PredictResponse(model_name=request.model_name)

    handler = grpc.unary_unary_rpc_method_handler(
        predict,
        inference_pb2.PredictRequest.FromString,
        inference_pb2.PredictResponse.SerializeToString,
    )
    server = grpc.server(ThreadPoolExecutor(THREADS))
    handlers = grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler})
    server.add_generic_rpc_handlers((handlers,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    answer(lambda: port)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
