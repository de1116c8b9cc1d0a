// Sends one record for each key of two bytes from 0 on and lets Kafka's own producer choose the partition.

import java.nio.ByteBuffer;
import java.util.Properties;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public class Keyed {
    public static void main(String[] arguments) throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", arguments[0]);
        try (var producer = new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (int key = 0; key < Integer.parseInt(arguments[2]); key++) {
                byte[] bytes = ByteBuffer.allocate(2).putShort((short) key).array();
                producer.send(new ProducerRecord<>(arguments[1], bytes, bytes)).get();
            }
        }
    }
}
