// Hand in a wish and read the answer: needs kafka-clients, lz4-java and slf4j-api.
//
// java -cp 'jars/*' Publish.java KAFKA PARTNER SOURCE < wish.json

import static java.nio.charset.StandardCharsets.UTF_8;

import java.security.MessageDigest;
import java.time.Duration;
import java.time.Instant;
import java.util.HexFormat;
import java.util.Map;
import java.util.Properties;
import java.util.regex.Pattern;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

public class Publish {
    public static void main(String[] args) throws Exception {
        var topic = env("WISHGRID_TOPIC_PREFIX", "") + "wishgrid.%s." + args[1] + ".v1";
        var seconds = Long.parseLong(env("WISHGRID_ANSWER_SECONDS", "30"));
        var config = new Properties();
        config.put("max.block.ms", 10_000); // so long for Kafka to be there
        config.put("bootstrap.servers", args[0]);
        if (!env("WISHGRID_KAFKA_USER", "").isEmpty()) {
            config.put("security.protocol", env("WISHGRID_KAFKA_PROTOCOL", "SASL_SSL"));
            config.put("sasl.mechanism", "SCRAM-SHA-512");
            config.put("sasl.jaas.config", ("org.apache.kafka.common.security.scram.ScramLoginModule "
                    + "required username=\"%s\" password=\"%s\";")
                    .formatted(env("WISHGRID_KAFKA_USER", ""), env("WISHGRID_KAFKA_PASSWORD", "")));
        }

        var wish = new String(System.in.readAllBytes(), UTF_8);
        var digest = MessageDigest.getInstance("SHA-256").digest(wish.getBytes(UTF_8));
        var event = HexFormat.of().formatHex(digest); // the same wish again is the same event
        var ref = Pattern.compile("\"ref\"\\s*:\\s*\"([^\"]*)\"").matcher(wish);
        var key = ref.find() ? ref.group(1) : event; // order is promised for one key
        var record = new ProducerRecord<>(topic.formatted("inbound"), key, wish);
        Map.of("specversion", "1.0", "id", event, "source", args[2], "type", "wishgrid.wish-submitted.v1")
                .forEach((name, text) -> record.headers().add("ce_" + name, text.getBytes(UTF_8)));
        try (var producer = new KafkaProducer<>(config, new StringSerializer(), new StringSerializer())) {
            producer.send(record).get();
        }

        var text = new StringDeserializer();
        var deadline = Instant.now().plusSeconds(seconds);
        try (var reader = new KafkaConsumer<>(config, text, text)) {
            var partitions = reader.partitionsFor(topic.formatted("answers")).stream()
                    .map(each -> new TopicPartition(each.topic(), each.partition())).toList();
            reader.assign(partitions);
            reader.seekToBeginning(partitions);
            while (Instant.now().isBefore(deadline)) {
                for (var answer : reader.poll(Duration.ofMillis(200))) {
                    if (event.equals(answer.key())) { // its key is the event that it answers
                        System.out.println(answer.value());
                        System.exit(answer.value().contains("\"said\":\"accepted\"") ? 0 : 1);
                    }
                }
            }
        }
        System.err.println("not answered in time: send the same again");
        System.exit(1);
    }

    private static String env(String name, String otherwise) {
        return System.getenv().getOrDefault(name, otherwise);
    }
}
