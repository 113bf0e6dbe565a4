"""What goes through the broker: the name of a task and the id of a row, and nothing about anybody."""

import base64
import json

import redis

from service.settings import Settings
from service.worker.celery_app import ANALYSE, DELIVER, QUEUE, make_app
from service.worker.embedded import Ticker
from service.worker.tasks import Doorbell


def test_nothing_but_an_id_goes_through_the_broker(redis_url):
    server = redis.Redis.from_url(redis_url)
    server.delete(QUEUE)
    app = make_app(Settings(broker_url=redis_url))
    bell = Doorbell(app)
    bell.ring(ANALYSE, 7)
    bell.ring(DELIVER, 8)
    Ticker(app).tick()
    messages = [json.loads(raw) for raw in server.lrange(QUEUE, 0, -1)]
    server.delete(QUEUE)
    bodies = [json.loads(base64.b64decode(message["body"])) for message in messages]
    called = {message["headers"]["task"]: body[:2] for message, body in zip(messages, bodies, strict=True)}
    assert called.pop(ANALYSE) == [[7], {}]
    assert called.pop(DELIVER) == [[8], {}]
    assert called
    assert [body for body in called.values() if body != [[], {}]] == []
    assert {message["content-type"] for message in messages} == {"application/json"}
